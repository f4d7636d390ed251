#pragma once
// The descriptors that the server finds open when it starts.
//
//   1, 2        output channels: what is written appears once, in order, when the batch commits
//   0           /dev/null (given by the coordinator), or forwarded
//   others      regular files and directories like opened ones; anything else is forwarded
// They are also what constructors of libraries opened before the virtual kernel took over.
namespace evenkeel::kernel {

// Single-threaded; after init_fds(). The runtime's own descriptors must have been moved by
// move_fd_high() before.
void init_stdio();

}  // namespace evenkeel::kernel
