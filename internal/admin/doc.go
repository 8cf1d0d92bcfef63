// Package admin serves the owner's HTTP interface below /admin: the calls under
// /admin/v1/ and the pages of the dashboard.
//
// Package api forwards each request together with a [Caller]. Six invariants hold. Every call but the
// sign-in needs the admin token, a token for the owners of a site, or a cookie that proves knowledge
// of one. Each call declares the role that it needs and sees the sites of its caller only. A token
// is never part of a URL. Pages of other origins can neither read nor change anything, even with the
// owner's cookie. No response is cached. A change that has begun is completed even if the client
// disconnects.
package admin
