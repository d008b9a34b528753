package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
)

// format is the format of all records and files of this package. Any change of their fields raises it.
const format = 1

// recordMax is more than any record or file of this package has.
const recordMax = 256 << 10

// seal encodes a record: one line of JSON, one line with its checksum.
func seal(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return sealLine(line), nil
}

func sealLine(line []byte) []byte {
	return fmt.Appendf(nil, "%s\nsha256 %x\n", line, sha256.Sum256(line))
}

// unseal reads what seal wrote. A record of a later version is told from a damaged one.
func unseal(b []byte, v any) error {
	if len(b) > recordMax {
		return fmt.Errorf("%d bytes, more than a record has", len(b))
	}
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok || string(rest) != fmt.Sprintf("sha256 %x\n", sha256.Sum256(line)) {
		return errors.New("damaged: wrong checksum")
	}
	var f struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	if f.Format != format {
		return fmt.Errorf("format %d, this version knows %d", f.Format, format)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	return nil
}

// raw returns the bytes of certificates.
func raw(certs []*x509.Certificate) [][]byte {
	out := make([][]byte, len(certs))
	for i, c := range certs {
		out[i] = c.Raw
	}
	return out
}

// authoritiesMax is how many authorities a cluster may trust at once; more than one only while they are exchanged.
const authoritiesMax = 8

// parseAuthorities reads the certificates of the authorities of one cluster; at least one.
func parseAuthorities(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > authoritiesMax {
		return nil, fmt.Errorf("%d authorities", len(ders))
	}
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, checkAuthorities(out)
}

func checkAuthorities(certs []*x509.Certificate) error {
	if len(certs) == 0 || len(certs) > authoritiesMax {
		return fmt.Errorf("%d authorities", len(certs))
	}
	first, err := parseAuthority(certs[0])
	if err != nil {
		return err
	}
	for _, c := range certs[1:] {
		if other, err := parseAuthority(c); err != nil || other != first {
			return errors.Join(fmt.Errorf("authorities of clusters %s and %s", first, other), err)
		}
	}
	return nil
}

// owns reports whether a certificate is made out to a key.
func owns(key ed25519.PrivateKey, c *x509.Certificate) bool {
	return len(key) == ed25519.PrivateKeySize && key.Public().(ed25519.PublicKey).Equal(c.PublicKey)
}

// pool returns certificates as a pool.
func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}
