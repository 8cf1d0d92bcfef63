// Package config reads the settings of the service: it declares each one, decides which
// of flag, environment, file and default applies, and parses and checks the values.
// It opens nothing and starts nothing. Commands also declare their flags as [Setting]s
// and read them with a [Reader].
package config
