// Package owner implements the owner's use cases: edit, rename, merge, revert, forget,
// block and prune topics, and give an overview of all instances.
//
// Package admin, which serves the owner's HTTP interface, imports it. Three invariants hold. The
// audit log records each change of a number. Each operation of several steps may be
// interrupted at any step and repeated on any instance, and keeps every acknowledged
// contribution. Each step is a change like a visitor's: open pages follow it.
package owner
