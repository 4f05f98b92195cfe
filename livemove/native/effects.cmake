# The effects: reverberation, delay, looper; one hop of stereo at a time, no shared memory.
nanobind_add_module(_effects NOMINSIZE "${CMAKE_CURRENT_LIST_DIR}/effects/bindings.cpp")
if(NOT MSVC)
  # A product and a sum round alike on every processor: takes are played again on another one, too.
  target_compile_options(_effects PRIVATE -ffp-contract=off -fno-math-errno)
endif()
install(TARGETS _effects LIBRARY DESTINATION livemove/native)
