// The network's hot path, whole. HOT: runs per sample; allocates, locks, logs and calls nothing.
// In: a Plan. Out: plan.values, plan.distribution. Included once by each isa_<name>.cpp after it has defined the vector
// type V, Half and their operations in an anonymous namespace, which is why the parts have no include guards and name
// nothing they need; knows neither Python nor how weights were packed.

// In this order: each part uses those before it.
// clang-format off
#include "elementary.hpp"
#include "products.hpp"
#include "fixed_point.hpp"
#include "step.hpp"
#include "sampling.hpp"
#include "hop.hpp"
// clang-format on
