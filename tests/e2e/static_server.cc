// Linked statically: the dynamic loader, and so any preloaded library, never runs.
int main() { return 0; }
