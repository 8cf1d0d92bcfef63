// Package tally is the domain: topics, the rules for contributions to them, and the
// [Service] that applies concurrent assertions in batches.
//
// Stores implement [Store], [Feed] and [Ledger]; the hub implements [Sink]; the HTTP
// handlers call [Service]. The package imports the standard library and Unicode's
// normaliser, which defines when two keys are equal, and nothing else.
//
// A count is state, not a message: a viewer needs only the newest value, so a newer
// [Change] may replace an older one. A like is an assertion, not an increment: "this
// visitor contributes 1 to this topic" counts once however often it is sent, so that
// every write is safe to retry.
package tally
