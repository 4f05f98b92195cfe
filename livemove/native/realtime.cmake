# The real-time path: shared memory between the processes, PortAudio output callback.
nanobind_add_module(_realtime NOMINSIZE "${CMAKE_CURRENT_LIST_DIR}/realtime/bindings.cpp")
target_link_libraries(_realtime PRIVATE Threads::Threads)
install(TARGETS _realtime LIBRARY DESTINATION livemove/native)
