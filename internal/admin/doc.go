// Package admin is what an owner reaches by HTTP below /admin: the calls that mend
// numbers under /admin/v1/, and the pages of the dashboard.
//
// The HTTP edge hands over every request with what it knows of its sender; nothing
// else imports the package. What it keeps true: nobody does or reads anything
// without the token, or the cookie that proves its knowledge; the token never stands
// in an address; pages of other origins can neither read nor change anything, with
// whatever cookie a browser sends along; nothing is ever kept by a cache; and what
// was begun is carried through, whether or not the asker waits for the answer.
package admin
