package sitemap

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestHostPolicy_Hosts(t *testing.T) {
	r := newHostPolicy([]string{"http://blog.example/sitemap.xml", "http://10.0.0.5:8080/sitemap.xml"},
		[]string{"https://www.example", "https://*.example.org:8443", "*"})
	defer r.close()
	for address, want := range map[string]bool{
		"http://blog.example/x": true, "https://blog.example/x": true, "https://BLOG.example:443/x": true, "https://blog.example:8443/x": false,
		"http://www.example/": true, "https://a.example.org:8443/": true, "https://a.example.org/": false, "https://.example.org:8443/": false,
		"https://example.org:8443/": false, "http://10.0.0.5:8080/": true, "http://10.0.0.5/": false, "http://10.0.0.5:6379/": false,
		"https://other.example/": false, "ftp://blog.example/": false, "file:///etc/passwd": false, "https://u:p@blog.example/": false,
		"gopher://blog.example:80/": false, "http:///x": false, "https://www.example.evil.example/": false, "http://www.example:22/": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if r.allows(u) != want {
			t.Errorf("%s: allowed is not %t", address, want)
		}
	}
}

func TestIsPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.215.14": true, "2606:4700::1111": true, "::ffff:93.184.215.14": true,
		"127.0.0.1": false, "127.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "100.100.100.200": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
	} {
		if isPublic(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: public is not %t", address, want)
		}
	}
}

// The client checks the resolved address, whatever the name is.
func TestHostPolicy_PrivateAddresses(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer server.Close()
	r := newHostPolicy(nil, []string{"http://*.0.0.1:" + server.URL[strings.LastIndexByte(server.URL, ':')+1:], "http://*.example"})
	defer r.close()
	for _, address := range []string{server.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.client(request).Do(request)
		if err == nil {
			response.Body.Close()
		}
		if err == nil || asked || !strings.Contains(err.Error(), "is not a public address") {
			t.Errorf("%s: asked %t, error %v", address, asked, err)
		}
	}
}
