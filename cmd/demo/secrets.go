package demo

import (
	"bufio"
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/contender/contender/trust"
)

// Keys are root keys.
type Keys struct{ Access, Secret string }

// The variables that the program takes root keys from.
const (
	accessVariable = "CONTENDER_ACCESS_KEY"
	secretVariable = "CONTENDER_SECRET_KEY"
)

// Files of a demo's folder, readable for their owner alone.
const (
	secretFile = "cluster-secret"
	keysName   = "root-keys"
)

// secretIn returns what the nodes know each other by: what is in the folder, or a new one.
func secretIn(dir string, random io.Reader) (string, error) {
	path := filepath.Join(dir, secretFile)
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	text, err := trust.NewSecret(random)
	if err == nil {
		err = os.WriteFile(path, []byte(text+"\n"), 0o600)
	}
	return text, err
}

func (d *demo) keysFile() string { return filepath.Join(d.Dir, keysName) }

// keysIn returns the root keys: those in the folder, which the cluster was founded with, or else those that are given, or new
// ones.
func keysIn(dir string, given Keys, random io.Reader) (Keys, error) {
	path := filepath.Join(dir, keysName)
	b, err := os.ReadFile(path)
	if err == nil {
		return parseKeys(b, path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return Keys{}, err
	}
	if given == (Keys{}) {
		var raw [42]byte
		if _, err := io.ReadFull(random, raw[:]); err != nil {
			return Keys{}, err
		}
		given = Keys{base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:12]), base64.RawURLEncoding.EncodeToString(raw[12:])}
	}
	text := fmt.Sprintf("%s=%s\n%s=%s\n", accessVariable, given.Access, secretVariable, given.Secret)
	return given, os.WriteFile(path, []byte(text), 0o600)
}

func parseKeys(b []byte, path string) (k Keys, err error) {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		switch name, value, _ := strings.Cut(s.Text(), "="); name {
		case accessVariable:
			k.Access = value
		case secretVariable:
			k.Secret = value
		}
	}
	if k.Access == "" || k.Secret == "" {
		return k, fmt.Errorf("%s: no root keys", path)
	}
	return k, nil
}
