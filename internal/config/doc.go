// Package config reads the settings of the service: it declares each one, chooses its value from
// flag, environment, file and default, and parses and checks the value. It starts nothing. Commands
// also declare their flags as [Setting]s and read them with a [Reader].
package config
