#pragma once
// How the run ends, thrown from wherever that becomes certain.
namespace evenkeel::host {

struct Ending {
  int status = 0;
  int signal = 0;  // not 0: the server was ended by it, and so shall we be
};

}  // namespace evenkeel::host
