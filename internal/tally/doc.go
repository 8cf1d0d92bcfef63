// Package tally is the domain: what a topic is, what a visitor may contribute
// to it, and how concurrent assertions become durable changes.
//
// Everything else stands around it. Stores implement [Store] and [Feed]; the
// hub implements [Sink]; the HTTP edge calls [Service]. The package imports the
// standard library and the Unicode normaliser that defines when two keys are
// equal, and nothing else.
//
// Two ideas carry it. A count is state, not a message: whoever shows it needs
// the newest value only, so a [Change] may always be replaced by a newer one.
// And a like is an assertion of state, not an increment: "this visitor
// contributes 1 to this topic" may be said twice and counts once, which makes
// every write safe to retry.
package tally
