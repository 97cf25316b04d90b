package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxConfigBytes bounds a configuration file.
const maxConfigBytes = 1 << 20

// setting is one line of a configuration file.
type setting struct {
	line       int
	key, value string
}

// parseSettings parses "key = value" lines. It skips empty lines, and comments from a # at the
// start of a line or after a blank. A value in double quotes is a Go string, for values with a # or
// blanks at the ends.
//
// Errors name the file and the line, and say what is wrong.
func parseSettings(file string, text []byte) ([]setting, error) {
	var all []setting
	seen := make(map[string]int)
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !found || key == "" || strings.ContainsAny(key, " \t\"#") {
			return nil, fmt.Errorf("%s:%d: not a \"key = value\" line", file, n)
		}
		value, err := settingValue(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %s: %w", file, n, key, err)
		}
		if first, twice := seen[key]; twice && key != "allow" {
			return nil, fmt.Errorf("%s:%d: %s is already set on line %d", file, n, key, first)
		}
		seen[key] = n
		all = append(all, setting{n, key, value})
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

func settingValue(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", fmt.Errorf("the value is not UTF-8")
	}
	rest := ""
	if quoted, err := strconv.QuotedPrefix(text); err == nil && quoted[0] == '"' {
		rest = strings.TrimSpace(text[len(quoted):])
		text, _ = strconv.Unquote(quoted) // QuotedPrefix found it valid
		if rest != "" && rest[0] != '#' {
			return "", fmt.Errorf("unexpected text after the closing quote")
		}
		return text, nil
	}
	if strings.HasPrefix(text, `"`) {
		return "", fmt.Errorf("the value is not a string in double quotes")
	}
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t') {
			return strings.TrimSpace(text[:i]), nil
		}
	}
	return text, nil
}

// readFile applies the settings in the --config file of flags that are not given in a layer above.
//
// Errors name file, line and key.
func (f *flagSet) readFile(cfg *config, given map[string]bool) error {
	text, err := readText(cfg.file, maxConfigBytes)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	settings, err := parseSettings(cfg.file, []byte(text))
	if err != nil {
		return err
	}
	cfg.password.configName = cfg.file
	for _, s := range settings {
		switch s.key {
		case "password":
			cfg.password.config.setText(s.value)
			continue
		case "password-file":
			cfg.password.config.setFile(s.value)
			continue
		case "config", "help", "version":
			return fmt.Errorf("%s:%d: %s is allowed only on the command line", cfg.file, s.line, s.key)
		}
		if f.Lookup(s.key) == nil {
			return fmt.Errorf(
				"%s:%d: unknown key %q; keys are the names of the flags in --help, and password",
				cfg.file,
				s.line,
				s.key,
			)
		}
		if given[s.key] {
			continue
		}
		if err := f.Lookup(s.key).Value.Set(s.value); err != nil {
			return fmt.Errorf("%s:%d: %s = %s: %w", cfg.file, s.line, s.key, s.value, err)
		}
	}
	return nil
}
