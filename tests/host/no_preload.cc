// What EVENKEEL_LIBRARY names in tests with the fake replica: a library that does nothing.
extern "C" int evenkeel_test_nothing() { return 0; }
