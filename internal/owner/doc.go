// Package owner is what the owner of the numbers does with them in several steps:
// mend, rename, merge, undo, forget, block, prune, and look over all instances.
//
// It stands between a store and whoever speaks for the owner: the HTTP interface
// below /admin/, and commands that work on a store directly. Three things hold for
// all of it. Whatever changes numbers is written to the audit log. Whatever takes
// several steps may be cut off at any of them and repeated, by any instance, and
// keeps every contribution that was acknowledged. And each step is a change like
// those of visitors: open pages follow.
package owner
