// Package owner implements the use cases of the owner of the numbers: edit, rename,
// merge, revert, forget, block, prune, and the overview of all instances.
//
// The HTTP interface below /admin/ and the commands that work directly on a store call
// it. Three invariants hold. Each change of a number is in the audit log. Each operation
// of several steps may be interrupted at any of them and repeated by any instance, and
// keeps every acknowledged contribution. Each step is a change like those of visitors,
// which open pages follow.
package owner
