package node

import (
	"errors"
	"net"
	"strings"
	"testing"
)

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		says   string // empty: accepted
	}{
		{"as it is", func(*Config) {}, ""},
		{"no keys", func(c *Config) { c.AccessKey, c.SecretKey = "", "" }, ""},
		{"one folder", func(c *Config) { c.Dirs = c.Dirs[:1] }, ""},
		{"wildcard address", func(c *Config) { c.Listen = ":9000" }, ""},
		{"no folder", func(c *Config) { c.Dirs = nil }, "at least one DIR"},
		{"an empty name", func(c *Config) { c.Dirs[1] = "" }, "empty"},
		{"a folder twice", func(c *Config) { c.Dirs[3] = c.Dirs[0] }, "twice"},
		{"half of the keys", func(c *Config) { c.SecretKey = "" }, "go together"},
		{"the other half", func(c *Config) { c.AccessKey = "" }, "go together"},
		{"short access key", func(c *Config) { c.AccessKey = "ab" }, "3 to 128"},
		{"short secret", func(c *Config) { c.SecretKey = "1234567" }, "8 to 128"},
		{"long secret", func(c *Config) { c.SecretKey = strings.Repeat("x", 129) }, "8 to 128"},
		{"joining", func(c *Config) { c.Join = []string{"other"} }, "--join"},
		{"no region", func(c *Config) { c.Region = "" }, "region"},
		{"unknown metrics access", func(c *Config) { c.Metrics = "all" }, "local, open or signed"},
		{"a front-end", func(c *Config) {
			*c = Config{FrontEnd: true, Join: []string{"h:1"}, Listen: ":0", Metrics: MetricsLocal}
		}, ""},
		{"a front-end that joins nobody", func(c *Config) { c.FrontEnd, c.Dirs = true, nil }, "--join"},
		{"a front-end without an address", func(c *Config) { *c = Config{FrontEnd: true, Join: []string{"h:1"}, Metrics: MetricsLocal} }, "address"},
		{"address without a port", func(c *Config) { c.Console = "localhost" }, "localhost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(fourDirs("d"))
			c.change(&cfg)
			err := cfg.validate()
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// TestHostnameIsTheName: a node without a name takes its host's, and does not start if there is none.
func TestHostnameIsTheName(t *testing.T) {
	cfg := memoryConfig()
	cfg.Name = ""
	env := memoryEnv(nil, newPipes())
	env.Hostname = func() (string, error) { return "", errors.New("nobody knows") }
	if says := refused(t, cfg, env); !strings.Contains(says, "--name") {
		t.Errorf("%q does not say how to help it", says)
	}
}

func TestAdvertisedHost(t *testing.T) {
	machine := func(list ...string) func() ([]net.Addr, error) {
		return func() (out []net.Addr, err error) {
			for _, s := range list {
				ip, n, err := net.ParseCIDR(s)
				if err != nil {
					return nil, err
				}
				out = append(out, &net.IPNet{IP: ip, Mask: n.Mask})
			}
			return out, nil
		}
	}
	broken := func() ([]net.Addr, error) { return nil, errors.New("no interfaces") }
	for _, c := range []struct {
		said, peer string
		interfaces func() ([]net.Addr, error)
		want       string
	}{
		{"name.example", "10.0.0.1:9002", broken, "name.example"},
		{"", "10.0.0.1:9002", broken, "10.0.0.1"},
		{"", "host.example:9002", broken, "host.example"},
		{"", "[fd00::1]:9002", broken, "fd00::1"},
		{"", ":9002", machine("127.0.0.1/8", "169.254.1.1/16", "192.0.2.7/24", "192.0.2.8/24"), "192.0.2.7"},
		{"", "0.0.0.0:9002", machine("127.0.0.1/8", "192.0.2.7/24"), "192.0.2.7"},
		{"", "[::]:9002", machine("::1/128", "fe80::1/64", "2001:db8::5/64"), "2001:db8::5"},
		{"", ":9002", machine("127.0.0.1/8"), "127.0.0.1"},
		{"", ":9002", broken, "127.0.0.1"},
	} {
		if got := advertiseHost(c.said, c.peer, nil, nil, c.interfaces); got != c.want {
			t.Errorf("advertise %q, peer %q: %s, want %s", c.said, c.peer, got, c.want)
		}
	}
}

func TestPortsAndHosts(t *testing.T) {
	for _, c := range []struct {
		address string
		earlier int
		want    string
	}{
		{"127.0.0.1:0", 4711, "127.0.0.1:4711"},
		{"127.0.0.1:0", 0, "127.0.0.1:0"},
		{"127.0.0.1:9000", 4711, "127.0.0.1:9000"},
		{":0", 4711, ":4711"},
		{"[::1]:0", 4711, "[::1]:4711"},
		{"nonsense", 4711, "nonsense"},
	} {
		if got := withPort(c.address, c.earlier); got != c.want {
			t.Errorf("%s with %d: %s, want %s", c.address, c.earlier, got, c.want)
		}
	}
	for listen, want := range map[string]string{
		":9000": "127.0.0.1", "0.0.0.0:9000": "127.0.0.1", "[::]:9000": "127.0.0.1", "192.0.2.7:9000": "192.0.2.7",
		"[::1]:9000": "::1", "box:9000": "box", "nonsense": "127.0.0.1",
	} {
		if got := urlHost(listen); got != want {
			t.Errorf("host of %s: %s, want %s", listen, got, want)
		}
	}
	for _, c := range []struct {
		addr net.Addr
		want int
	}{
		{&net.TCPAddr{Port: 9000}, 9000},
		{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53}, 53},
		{&net.UnixAddr{Name: "socket"}, 0},
	} {
		if got := portOf(c.addr); got != c.want {
			t.Errorf("port of %v: %d, want %d", c.addr, got, c.want)
		}
	}
}
