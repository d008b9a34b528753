package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/contender/contender/gateway/call"
	"github.com/contender/contender/metashards"
	"github.com/contender/contender/objectlayer"
)

// rootKey is the cluster's root access key and secret, as the system record holds them.
type rootKey struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
}

// makeCredentials makes root keys at founding if the operator gave none, and writes them for their owner alone.
func (n *Node) makeCredentials() error {
	if n.cfg.AccessKey != "" {
		return nil
	}
	var access [12]byte
	var secret [30]byte
	if _, err := io.ReadFull(n.env.Rand, access[:]); err != nil {
		return fmt.Errorf("draw root keys: %w", err)
	}
	if _, err := io.ReadFull(n.env.Rand, secret[:]); err != nil {
		return fmt.Errorf("draw root keys: %w", err)
	}
	k := rootKey{
		AccessKey: base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(access[:]),
		SecretKey: base64.StdEncoding.EncodeToString(secret[:]),
	}
	text := fmt.Sprintf("CONTENDER_ACCESS_KEY=%s\nCONTENDER_SECRET_KEY=%s\n", k.AccessKey, k.SecretKey)
	return writeFile(n.env.FS, n.folders[0].dir, credentialsFile, text)
}

// writeFile writes a small file that only its owner may read, durably.
func writeFile(fs vfs.FS, dir, name, text string) (err error) {
	path := fs.PathJoin(dir, name)
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// Nobody else may read the file before anything is in it. File systems in memory have no modes.
	if fs == vfs.Default {
		if err := os.Chmod(path, 0o600); err != nil {
			return errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
		}
	}
	_, err = f.Write([]byte(text))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readCredentials reads what makeCredentials wrote, in whichever folder it lies; false if there is none.
func (n *Node) readCredentials() (k rootKey, file string, ok bool) {
	for _, f := range n.folders {
		path := n.env.FS.PathJoin(f.dir, credentialsFile)
		r, err := n.env.FS.Open(path)
		if err != nil {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(r, 4096))
		r.Close()
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
			if v, found := strings.CutPrefix(s.Text(), "CONTENDER_ACCESS_KEY="); found {
				k.AccessKey = v
			}
			if v, found := strings.CutPrefix(s.Text(), "CONTENDER_SECRET_KEY="); found {
				k.SecretKey = v
			}
		}
		if k.AccessKey != "" && k.SecretKey != "" {
			return k, path, true
		}
	}
	return rootKey{}, "", false
}

// errOtherRootKey ends a server that was given other root keys than its cluster's.
var errOtherRootKey = errors.New("CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY differ from the cluster's root keys: the keys belong to the cluster and are decided at founding")

// settleRootKey reads the cluster's root key, or writes it if the founding ended before it was written. A key given
// now that differs from the cluster's is refused.
func (n *Node) settleRootKey(ctx context.Context) error {
	given := rootKey{n.cfg.AccessKey, n.cfg.SecretKey}
	for {
		r, err := n.getSystem(ctx, metashards.RecordRootKey)
		if err != nil {
			return err
		}
		if r != nil {
			var k rootKey
			if err := json.Unmarshal(r.Value, &k); err != nil {
				return fmt.Errorf("the cluster's root key cannot be read: %w", err)
			}
			if given.AccessKey != "" && given != k {
				return errOtherRootKey
			}
			n.identities.root.Store(&k)
			return nil
		}
		k := given
		if k.AccessKey == "" {
			var ok bool
			if k, _, ok = n.readCredentials(); !ok {
				return fmt.Errorf("the cluster has no root key yet and no folder holds %s: give CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY", credentialsFile)
			}
		}
		value, err := json.Marshal(k)
		if err != nil {
			return err
		}
		if err := n.putSystem(ctx, metashards.RecordRootKey, value); err != nil {
			return err
		}
	}
}

// identities knows the root key, once it is settled. More identities come with users. It is safe for concurrent use.
type identities struct{ root atomic.Pointer[rootKey] }

var errKeysUnknown = errors.New("this node has not learned the cluster's keys yet")

// Lookup implements gateway.Identities.
func (i *identities) Lookup(_ context.Context, accessKey string) (call.Identity, error) {
	root := i.root.Load()
	switch {
	case root == nil:
		return call.Identity{}, &objectlayer.Error{Op: "look up access key", Kind: objectlayer.KindUnavailable, Err: errKeysUnknown}
	case accessKey != root.AccessKey:
		return call.Identity{}, call.ErrUnknownKey
	}
	return call.Identity{AccessKey: root.AccessKey, Secret: root.SecretKey, Root: true, Name: "root"}, nil
}
