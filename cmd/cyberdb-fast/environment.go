package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variables are those of the server, as the help explains them.
var variables = []struct{ name, meaning string }{
	{"CYBERDB_<FLAG>", "any flag of the server: CYBERDB_MAX_MEMORY=4GiB, CYBERDB_ENCRYPT=true"},
	{"CYBERDB_PASSWORD", "the password"},
	{"CYBERDB_PASSWORD_FILE", "file with the password"},
	{"CREDENTIALS_DIRECTORY", "set by systemd: the file cyberdb-password in it has the password"},
}

// complete adds what the environment and the configuration file set to what the flags have set.
//
// Errors: one line each, which says what to do.
func (f *flagSet) complete(cfg *config, env func(string) (string, bool)) error {
	given := make(map[string]bool)
	f.VisitAll(func(flag *pflag.Flag) { given[flag.Name] = flag.Changed })
	if err := f.readEnv(env, given); err != nil {
		return err
	}
	cfg.password.readEnv(env)
	if given["config"] {
		if err := f.readFile(cfg, given); err != nil {
			return err
		}
	}
	return cfg.check()
}

// ofCommandLine are the flags that have no variable of their own: the password's variables have
// their own rules, and the others are questions.
var ofCommandLine = map[string]bool{"password": true, "password-file": true, "version": true, "help": true}

// variableOf returns the environment variable that sets a flag, "" if there is none.
func variableOf(flag string) string {
	if ofCommandLine[flag] {
		return ""
	}
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// variablePrefix begins the names of the variables of settings, and of those of clients.
const variablePrefix = "CYBERDB_"

// longName is the length, without the prefix, from which on two letters of a variable's name may be
// wrong; in a shorter one a single letter.
const longName = 6

// ofPassword and ofClients are the variables that are no flag's own.
var (
	ofPassword = []string{"CYBERDB_PASSWORD", "CYBERDB_PASSWORD_FILE"}
	ofClients  = []string{"CYBERDB_URL"}
)

// misspelt returns a warning for each variable whose name is nearly that of a setting. Others are
// of other programs, as those that Kubernetes sets for a service called cyberdb.
func (f *flagSet) misspelt(environ []string) (warnings []string) {
	known, names := make(map[string]bool), &cobra.Command{} // cobra knows what is near
	add := func(name string) {
		known[name] = true
		names.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	f.VisitAll(func(flag *pflag.Flag) {
		if name := variableOf(flag.Name); name != "" {
			add(name)
		}
	})
	for _, name := range ofPassword {
		add(name)
	}
	for _, name := range ofClients {
		known[name] = true
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		own, ofCyberDB := strings.CutPrefix(strings.ToUpper(name), variablePrefix)
		if !ofCyberDB || own == "" || known[name] {
			continue
		}
		names.SuggestionsMinimumDistance = 1
		if len(own) >= longName {
			names.SuggestionsMinimumDistance = 2
		}
		if near := names.SuggestionsFor(name); len(near) > 0 {
			warnings = append(warnings, fmt.Sprintf(
				"the variable %s is ignored, since there is no such setting: did you mean %s?",
				name, strings.Join(near, " or ")))
		}
	}
	return warnings
}

// readEnv applies the variables of flags that are not given, and adds them to the given ones.
//
// Errors name the variable.
func (f *flagSet) readEnv(env func(string) (string, bool), given map[string]bool) (err error) {
	f.VisitAll(func(flag *pflag.Flag) {
		name := variableOf(flag.Name)
		text, set := env(name)
		if name == "" || !set || given[flag.Name] || err != nil {
			return
		}
		given[flag.Name] = true
		if wrong := flag.Value.Set(text); wrong != nil {
			err = fmt.Errorf("%s=%s: %w%s", name, text, wrong, kubernetesAdvice(name, text))
		}
	})
	return err
}

// kubernetesAdvice explains a variable that Kubernetes sets, as CYBERDB_PORT in the containers
// beside a service that is called cyberdb.
func kubernetesAdvice(name, text string) string {
	if name != variableOf("port") || !strings.Contains(text, "://") {
		return ""
	}
	return "; Kubernetes sets it for a service called cyberdb: set enableServiceLinks: false in the pod, or use --port"
}
