# The real-time path: shared-memory ring and mailbox, PortAudio output callback.
if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/realtime.cpp")
  nanobind_add_module(_realtime NOMINSIZE "${CMAKE_CURRENT_LIST_DIR}/realtime.cpp")
  target_link_libraries(_realtime PRIVATE Threads::Threads)
  install(TARGETS _realtime LIBRARY DESTINATION livemove/native)
endif()
