package cli

import (
	"fmt"
	"slices"

	"github.com/tallycast/tallycast/internal/config"
)

// groupDirect is the heading of the flags for a store that a command opens itself.
const groupDirect = "Store, instead of a service"

// backend is what a command works on: a running service, or a store that the command
// opens itself.
type backend struct {
	store  config.StoreURL // the zero value: a running service
	source config.Source   // the setting that named it
}

// isService reports whether b is a running service.
func (b backend) isService() bool { return b.store == config.StoreURL{} }

// backendSettings name a store and a service.
var backendSettings = append(settingsNamed("store"), atFlag)

// backend returns the backend that flags, environment and configuration file name. If both --at
// and --store are given, the one of the higher layer applies, see [config.Resolve]. If neither is
// given, it is the default service, or, with onlyStore, the default store. Its error is a
// [usageError].
func (p *process) backend(onlyStore bool) (backend, error) {
	file, problems := p.configFile()
	// If a misspelt variable were ignored, the command would work on another store.
	problems = append(p.env.Unknown(config.Settings), problems...)
	values := config.Resolve(backendSettings, p.flags, p.env, file)
	r := &config.Reader{Values: values, Problems: problems}
	at, url := values["at"], values["store"]
	store := config.Read(r, "store", config.ParseStore)
	if len(r.Problems) > 0 {
		return backend{}, usageError{r.Problems.Err()}
	}
	switch {
	case !at.IsGiven():
		return backend{store, url.Source}, nil
	case !url.IsGiven():
		return backend{source: at.Source}, nil
	case !at.IsDefault():
		return backend{}, usagef("%s names a running service and %s a store; choose one with --at or --store on the command line", at.Source, url.Source)
	case onlyStore:
		return backend{store, url.Source}, nil
	}
	return backend{source: at.Source}, nil
}

// storeFile returns the path of the SQLite store that a command works on. For a service or a Redis
// its error is a [usageError] with redisAdvice.
func (p *process) storeFile(command, redisAdvice string) (string, error) {
	b, err := p.backend(true)
	switch {
	case err != nil:
		return "", err
	case b.isService():
		return "", usagef("%s names a running service, but %s works on the file of an SQLite store: run it on the machine of the store, with --store sqlite:PATH. If the service uses Redis: %s", b.source, command, redisAdvice)
	case b.store.RedisURL != "":
		return "", usagef("the store is %s (%s): %s", b.store.Name(), b.source, redisAdvice)
	}
	p.printStore(b)
	return b.store.SQLitePath, nil
}

// printStore prints which store a command works on, and the source of that setting.
func (p *process) printStore(b backend) {
	fmt.Fprintf(p.stderr, "store: %s (%s)\n", printable(b.store.Name()), b.source)
}

// settingsNamed returns settings of serve as flags of another command.
func settingsNamed(names ...string) (some []config.Setting) {
	for _, s := range config.Settings {
		if slices.Contains(names, s.Name) {
			s.Group = groupDirect
			some = append(some, s)
		}
	}
	return some
}

// storeFlags are the settings of serve that say how a store is opened.
var storeFlags = settingsNamed("redis-prefix", "secret", "secret-file", "metric", "config")

// targetFlags name the service or the store that a command changes.
var targetFlags = slices.Concat(adminFlags, []config.Setting{
	{Name: "store", Group: groupDirect, Value: "URL", Help: "Work on this store (a URL as for serve): an SQLite file that no service uses, or a Redis."},
}, storeFlags)

// openClient returns the admin client of the backend that flags, environment and configuration file
// name. A store is opened as u says.
func (p *process) openClient(u storeUse) (*adminClient, error) {
	b, err := p.backend(false)
	if err != nil {
		return nil, err
	}
	return p.openBackend(b, u)
}

// openBackend returns the admin client of b.
func (p *process) openBackend(b backend, u storeUse) (*adminClient, error) {
	if b.isService() {
		return p.serviceClient()
	}
	p.printStore(b)
	return p.openLocal(b.store, u)
}
