// Package cli implements the commands of tallycast, about one file for each. A command is a
// struct whose fields are the values of its flags. It calls the admin API through the admin
// client, and prints the result. The admin client speaks HTTP to a running service, or to the
// same handlers in this process over a store that the command opened; commands do not know
// which.
package cli
