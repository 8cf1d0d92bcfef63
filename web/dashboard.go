package web

import "embed"

//go:embed dist/admin
var dashboard embed.FS

// Dashboard are the files of the owner's pages: index.html is at /admin/, the others
// beside it. They find the service by their own address, and need no rendering.
var Dashboard = sub(dashboard, "dist/admin")
