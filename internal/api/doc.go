// Package api is the HTTP edge: it turns requests into assertions and readings
// of the domain, and their results and errors into answers.
//
// It is imported by the command alone and is the only package that knows Gin.
// What it keeps true: every refusal is a problem document (RFC 9457) with a
// stable code, readable from every origin and never cached; GET changes no
// count; a page whose origin is not allowed for a site neither reads, writes nor
// watches it; a client address stays within its limits on all instances
// together; a visitor's id is never taken from a URL.
package api
