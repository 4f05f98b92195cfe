// Which instruction sets this machine can run.
// In: the CPU's own answers. Out: the tables of isa.hpp, fastest first.
#pragma once
#include <string>
#include <vector>

#include "isa.hpp"

namespace livemove {

// Instruction sets this machine can run, fastest first.
std::vector<const Isa*> available();

// The one of that name, or for "auto" the fastest; throws std::invalid_argument where this machine has none such.
const Isa& find_isa(const std::string& name);

}  // namespace livemove
