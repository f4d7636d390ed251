#pragma once
// poll() and select(). A polled object joins the shared ordering domain; pollers wait on one common
// key and look at all their objects again when anything changes, which is simple and, for the few
// threads that poll, fast enough.
namespace evenkeel::kernel {

void wake_pollers();  // lock held

}  // namespace evenkeel::kernel
