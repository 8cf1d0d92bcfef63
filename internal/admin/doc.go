// Package admin serves the owner's HTTP interface below /admin: the calls under
// /admin/v1/ and the pages of the dashboard.
//
// Package api forwards each request together with a [Caller]. Five invariants hold.
// Every call needs the admin token or a cookie that proves knowledge of it. The token is
// never part of a URL. Pages of other origins can neither read nor change anything, even
// with the owner's cookie. No response is cached. A change that has begun is carried out
// even if the client disconnects.
package admin
