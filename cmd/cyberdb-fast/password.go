package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// maxPasswordBytes bounds a password, and how much of a password file is read.
const maxPasswordBytes = 1024

// passwordFile is the name, in the data directory, of the file with the password that was made
// here.
const passwordFile = "password"

// password is what clients prove, and where it comes from.
type password struct {
	text     string
	file     string // the file that holds it; "" if it came as text
	own      bool   // made by this command, and kept in the data directory
	warnings []string
}

// passwordSource is where the settings say that the password is. The first layer that says
// something counts.
type passwordSource struct {
	flags      passwordLayer
	env        passwordLayer
	credential passwordLayer // of systemd
	config     passwordLayer
	configName string // file that config was read from
}

// passwordLayer is what one layer of the settings says: nil is nothing.
type passwordLayer struct{ text, file *string }

func (l *passwordLayer) setText(text string) { l.text = &text }
func (l *passwordLayer) setFile(file string) { l.file = &file }

// textFlag is a flag that knows whether it was given.
type textFlag struct {
	to   **string
	kind string
}

// Type returns what stands for the value in the help.
func (f *textFlag) Type() string { return f.kind }

func (f *textFlag) String() string { return "" } // a password is shown nowhere

// Set takes the value.
func (f *textFlag) Set(text string) error {
	*f.to = &text
	return nil
}

// credentialFile is the name of the password among the credentials that systemd gives a service
// (LoadCredential=).
const credentialFile = "cyberdb-password"

func (s *passwordSource) readEnv(env func(string) (string, bool)) {
	if text, set := env("CYBERDB_PASSWORD"); set {
		s.env.setText(text)
	}
	if file, set := env("CYBERDB_PASSWORD_FILE"); set {
		s.env.setFile(file)
	}
	if dir, set := env("CREDENTIALS_DIRECTORY"); set {
		if name := filepath.Join(dir, credentialFile); exists(name) {
			s.credential.setFile(name)
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// read returns the password that the settings name, or else the one that is kept in dir, made now
// if there is none.
func (s *passwordSource) read(dir *dataDir) (password, error) {
	switch {
	case s.flags != passwordLayer{}:
		p, err := s.flags.read("--password", "--password-file")
		if err == nil && s.flags.text != nil {
			p.warnings = []string{
				"everybody on this machine may read the password of --password in the list of processes: use --password-file or CYBERDB_PASSWORD",
			}
		}
		return p, err
	case s.env != passwordLayer{}:
		return s.env.read("CYBERDB_PASSWORD", "CYBERDB_PASSWORD_FILE")
	case s.credential != passwordLayer{}:
		return s.credential.read("", "credential "+credentialFile)
	case s.config != passwordLayer{}:
		p, err := s.config.read(s.configName+": password", s.configName+": password-file")
		if err == nil && s.config.text != nil {
			p.warnings, err = othersMayRead(s.configName)
		}
		return p, err
	}
	return ownPassword(dir)
}

// read returns the password of one layer, whose two settings have these names in errors.
func (l passwordLayer) read(textName, fileName string) (password, error) {
	switch {
	case l.text != nil && l.file != nil:
		return password{}, fmt.Errorf("%s and %s are both set: keep one", textName, fileName)
	case l.file != nil:
		return readPasswordFile(fileName, *l.file)
	}
	if err := checkPassword(*l.text); err != nil {
		return password{}, fmt.Errorf("%s: %w", textName, err)
	}
	return password{text: *l.text}, nil
}

// readPasswordFile reads the password file that the named setting gives. One line end at its end is
// not part of the password.
func readPasswordFile(setting, name string) (password, error) {
	if name == "" {
		return password{}, fmt.Errorf("%s: needs the name of a file", setting)
	}
	text, err := readText(name, maxPasswordBytes+2) // with a line end
	if err != nil {
		return password{}, fmt.Errorf("%s: %w", setting, err)
	}
	line := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if err := checkPassword(line); err != nil {
		return password{}, fmt.Errorf("%s: %s: %w", setting, name, err)
	}
	warnings, err := othersMayRead(name)
	if err != nil {
		return password{}, fmt.Errorf("%s: %w", setting, err)
	}
	if path, err := filepath.Abs(name); err == nil {
		name = path
	}
	return password{text: line, file: name, warnings: warnings}, nil
}

func checkPassword(text string) error {
	switch {
	case text == "":
		return errors.New("the password is empty")
	case len(text) > maxPasswordBytes:
		return fmt.Errorf("the password is longer than %d bytes", maxPasswordBytes)
	case !utf8.ValidString(text):
		return errors.New("the password is not UTF-8")
	case strings.ContainsAny(text, "\r\n\x00"):
		return errors.New("the password must be one line")
	}
	return nil
}

// ownPassword returns the password kept in the data directory; if there is none it makes one of
// some 130 random bits.
func ownPassword(dir *dataDir) (password, error) {
	name := dir.file(passwordFile)
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = dir.create(passwordFile, rand.Text()+"\n")
	}
	if err != nil {
		return password{}, err
	}
	p, err := readPasswordFile("password", name)
	if err != nil {
		return password{}, fmt.Errorf("%w; remove the file to have a new password made", err)
	}
	p.own = true
	return p, nil
}

// othersMayRead returns a warning if everybody on the machine may read the file.
func othersMayRead(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
		return []string{fmt.Sprintf("everybody on this machine may read the password in %s: chmod o-r it", name)}, nil
	}
	return nil, nil
}
