# The WaveNet kernels, one object per instruction set, chosen at run time.
if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/wavenet.cpp")
  nanobind_add_module(_wavenet NOMINSIZE "${CMAKE_CURRENT_LIST_DIR}/wavenet.cpp")
  install(TARGETS _wavenet LIBRARY DESTINATION livemove/native)
endif()
