package main

import (
	"errors"
	"fmt"
)

// groupDirect is the heading of the flags that concern a store which a command opens
// itself.
const groupDirect = "The store, if no service is asked"

// backend is what a command works on: a running service, or a store that the command
// opens itself.
type backend struct {
	store  storeURL // the zero value: the service that [process.adminClient] asks
	source source   // which setting named it; default: none did
}

// isService reports whether b is a running service.
func (b backend) isService() bool { return b.store == storeURL{} }

// backendSettings name a service and a store: what serve would use as its store is
// what commands use, unless a service is named.
var backendSettings = append(settingsNamed("store"), definition{
	name: "at", group: groupService, takes: "URL", fallback: defaultService, alternative: "store",
})

// backend returns what flags, environment and configuration file name. Of --at and
// --store the one from the higher layer holds. If neither is given, it is the default
// service, or, if onlyStore, the default store.
// The error is a [usageError]: a wrong value, or one layer that names both.
func (p *process) backend(onlyStore bool) (backend, error) {
	file, problems := p.configFile()
	// A name that is mistyped would mean another store.
	problems = append(p.env.refuse(settings), problems...)
	values := layer(backendSettings, p.flags, p.env, file)
	r := &reader{values: values, problems: problems}
	at, url := values["at"], values["store"]
	store := one(r, "store", parseStore)
	if len(r.problems) > 0 {
		return backend{}, usageError{r.problemsAsError()}
	}
	switch {
	case at.texts == nil:
		return backend{store, url.source}, nil
	case url.texts == nil:
		return backend{source: at.source}, nil
	case at.rank != rankDefault:
		return backend{}, usageError{fmt.Errorf("%s names a running service and %s a store; it should be one of them: --at or --store on the command line decides", at.source, url.source)}
	case onlyStore:
		return backend{store, url.source}, nil
	}
	return backend{source: at.source}, nil
}

// storeFile returns the path of the SQLite store that a command works on, which has no
// other way than to open the file; redisAdvice says what to do about a Redis.
// Errors: a [usageError] if there is a service or a Redis instead.
func (p *process) storeFile(command, redisAdvice string) (string, error) {
	b, err := p.backend(true)
	switch {
	case err != nil:
		return "", err
	case b.isService():
		return "", usageError{fmt.Errorf("%s names a running service, and %s works on the file of an SQLite store: name that with --store sqlite:PATH, on the machine that has it. If the service is on Redis: %s", b.source, command, redisAdvice)}
	case b.store.redisURL != "":
		return "", usageError{fmt.Errorf("the store is %s (%s): %s", b.store.name(), b.source, redisAdvice)}
	}
	p.printStore(b)
	return b.store.sqlitePath, nil
}

// printStore tells people which store a command works on, and which setting says so.
func (p *process) printStore(b backend) {
	fmt.Fprintf(p.stderr, "store: %s (%s)\n", printable(b.store.name()), b.source)
}

// problemsAsError returns everything that is wrong with settings.
func (r *reader) problemsAsError() error {
	all := make([]error, len(r.problems))
	for i, each := range r.problems {
		all[i] = errors.New(each.String())
	}
	return errors.Join(all...)
}
