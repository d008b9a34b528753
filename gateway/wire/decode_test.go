package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const ns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

func TestDecodeDelete(t *testing.T) {
	for _, attr := range []string{"", ns} {
		doc, err := DecodeDelete(strings.NewReader(`<?xml version="1.0" encoding="UTF-8"?>
<!-- comment --><Delete` + attr + `>
  <Quiet> true </Quiet>
  <Object><Key> a&amp;b/&#x20AC; </Key></Object>
  <Object><VersionId>v1</VersionId><Key><![CDATA[<k>]]></Key><ETag>&quot;e&quot;</ETag><LastModifiedTime>Mon, 03 Aug 2026 04:05:06 GMT</LastModifiedTime><Size>7</Size></Object>
  <Object><Key>z</Key><ETag>*</ETag><LastModifiedTime>2026-08-03T04:05:06.5Z</LastModifiedTime></Object>
</Delete>
`))
		if err != nil {
			t.Fatal(err)
		}
		if !doc.Quiet || len(doc.Objects) != 3 || doc.Objects[0].Key != " a&b/€ " || doc.Objects[0].ETag != nil || doc.Objects[0].Size != nil {
			t.Errorf("%+v", doc)
		}
		k := doc.Objects[1]
		if k.Key != "<k>" || k.VersionID != "v1" || *k.ETag != (ETag{Value: "e"}) || *k.Size != 7 || !k.LastModifiedTime.Equal(time.Date(2026, 8, 3, 4, 5, 6, 0, time.UTC)) {
			t.Errorf("%+v", k)
		}
		if k := doc.Objects[2]; !k.ETag.Any || !k.LastModifiedTime.Equal(time.Date(2026, 8, 3, 4, 5, 6, 5e8, time.UTC)) {
			t.Errorf("%+v", k)
		}
	}
}

func TestDecodeDeleteRefuses(t *testing.T) {
	object := "<Object><Key>k</Key></Object>"
	for text, code := range map[string]Code{
		"":                                         MalformedXML,
		"<Delete>":                                 MalformedXML,
		"<Delete></Delete>":                        MalformedXML,
		"<Remove>" + object + "</Remove>":          MalformedXML,
		"<Delete>" + object + "</Delete>x":         MalformedXML,
		"<Delete>" + object + "</Delete><a/>":      MalformedXML,
		"<Delete>x" + object + "</Delete>":         MalformedXML,
		"<Delete><Object/></Delete>":               UserKeyMustBeSpecified,
		"<Delete><Object><Key/></Object></Delete>": UserKeyMustBeSpecified,
		"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>":                           MalformedXML,
		"<Delete><Object><Key>a<b/></Key></Object></Delete>":                                   MalformedXML,
		"<Delete><Object><Key>a</Key><Mode>b</Mode></Object></Delete>":                         MalformedXML,
		"<Delete><Object><Key>a</Key><Size>-1</Size></Object></Delete>":                        MalformedXML,
		"<Delete><Object><Key>a</Key><ETag></ETag></Object></Delete>":                          MalformedXML,
		"<Delete><Object><Key>a</Key><LastModifiedTime>x</LastModifiedTime></Object></Delete>": MalformedXML,
		"<Delete><Quiet>maybe</Quiet>" + object + "</Delete>":                                  MalformedXML,
		"<Delete><Quiet>true</Quiet><Quiet>true</Quiet>" + object + "</Delete>":                MalformedXML,
		"<!DOCTYPE Delete [<!ENTITY a \"b\">]><Delete>" + object + "</Delete>":                 MalformedXML,
		"<Delete><Object><Key>&a;</Key></Object></Delete>":                                     MalformedXML,
		"<Delete><Object><Key>\x01</Key></Object></Delete>":                                    MalformedXML,
		"<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete>" + object + "</Delete>":           MalformedXML,
		"<Delete>" + strings.Repeat(object, MaxDeleteKeys+1) + "</Delete>":                     MalformedXML,
		strings.Repeat("<Delete>", 1000):                                                       MalformedXML,
		"<Delete>" + strings.Repeat(" ", MaxDeleteBytes) + object + "</Delete>":                MaxMessageLengthExceeded,
	} {
		if doc, err := DecodeDelete(strings.NewReader(text)); !errors.Is(err, code) || len(doc.Objects) != 0 {
			t.Errorf("%.60q: %v, want %s", text, err, code)
		}
	}
	if doc, err := DecodeDelete(strings.NewReader("<Delete>" + strings.Repeat(object, MaxDeleteKeys) + "</Delete>")); err != nil || len(doc.Objects) != MaxDeleteKeys {
		t.Errorf("%d keys, %v", len(doc.Objects), err)
	}
}

// What the body itself says (a wrong hash, a lost line) wins over what stands
// in it.
func TestDecodeReadsTheBodyFirst(t *testing.T) {
	bad := New(XAmzContentSHA256Mismatch)
	for _, text := range []string{"<Delete><Object><Key>k</Key></Object></Delete>", "not xml", ""} {
		body := func() io.Reader { return io.MultiReader(strings.NewReader(text), iotest.ErrReader(bad)) }
		if _, err := DecodeDelete(body()); !errors.Is(err, XAmzContentSHA256Mismatch) {
			t.Error(err)
		}
		if _, err := DecodeComplete(body()); !errors.Is(err, XAmzContentSHA256Mismatch) {
			t.Error(err)
		}
		if _, err := DecodeCreateBucket(body()); !errors.Is(err, XAmzContentSHA256Mismatch) {
			t.Error(err)
		}
	}
}

func TestDecodeComplete(t *testing.T) {
	parts, err := DecodeComplete(strings.NewReader(`<CompleteMultipartUpload` + ns + `>
<Part><ETag>"abc"</ETag><PartNumber>1</PartNumber><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>
<Part><PartNumber> 10000 </PartNumber><ETag>def</ETag><ChecksumSHA512>x</ChecksumSHA512></Part></CompleteMultipartUpload>`))
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	if p := parts[0]; p.Number != 1 || p.ETag != "abc" || len(p.Checksums) != 1 || p.Checksums[0] != (Checksum{CRC32, "AAAAAA=="}) {
		t.Errorf("%+v", p)
	}
	if p := parts[1]; p.Number != 10000 || p.ETag != "def" || p.Checksums[0].Algorithm != SHA512 {
		t.Errorf("%+v", p)
	}
	part := func(n string) string { return "<Part><PartNumber>" + n + "</PartNumber><ETag>e</ETag></Part>" }
	for inner, code := range map[string]Code{
		"":                    MalformedXML,
		part("2") + part("1"): InvalidPartOrder,
		part("2") + part("2"): InvalidPartOrder,
		part("0"):             InvalidArgument,
		part("10001"):         InvalidArgument,
		part("x"):             MalformedXML,
		part(""):              MalformedXML,
		"<Part><PartNumber>1</PartNumber></Part>": MalformedXML,
		"<Part><ETag>e</ETag></Part>":             MalformedXML,
		"<Part><PartNumber>1</PartNumber><ETag>e</ETag><ChecksumCRC32>a</ChecksumCRC32><ChecksumCRC32>a</ChecksumCRC32></Part>": MalformedXML,
		"<Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>1</Size></Part>":                                                   MalformedXML,
		"<Other/>": MalformedXML,
	} {
		if _, err := DecodeComplete(strings.NewReader("<CompleteMultipartUpload>" + inner + "</CompleteMultipartUpload>")); !errors.Is(err, code) {
			t.Errorf("%.60q: %v, want %s", inner, err, code)
		}
	}
	var all strings.Builder
	for i := range MaxParts {
		all.WriteString(part(fmt.Sprint(i + 1)))
	}
	if parts, err := DecodeComplete(strings.NewReader("<CompleteMultipartUpload>" + all.String() + "</CompleteMultipartUpload>")); err != nil || len(parts) != MaxParts {
		t.Errorf("%d parts, %v", len(parts), err)
	}
}

func TestDecodeCreateBucket(t *testing.T) {
	for text, want := range map[string]string{
		"":    "{LocationConstraint: LocationName: LocationType: BucketType: DataRedundancy: Tags:[]}",
		" \n": "{LocationConstraint: LocationName: LocationType: BucketType: DataRedundancy: Tags:[]}",
		"<CreateBucketConfiguration" + ns + "><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>":                                                                                                                                    "{LocationConstraint:eu-west-1 LocationName: LocationType: BucketType: DataRedundancy: Tags:[]}",
		"<CreateBucketConfiguration><Location><Name>n</Name><Type>AvailabilityZone</Type></Location><Bucket><Type>Directory</Type><DataRedundancy>r</DataRedundancy></Bucket><Tags><Tag><Key>k</Key><Value> v </Value></Tag></Tags></CreateBucketConfiguration>": "{LocationConstraint: LocationName:n LocationType:AvailabilityZone BucketType:Directory DataRedundancy:r Tags:[{Key:k Value: v }]}",
	} {
		doc, err := DecodeCreateBucket(strings.NewReader(text))
		if got := fmt.Sprintf("%+v", doc); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for text, code := range map[string]Code{
		"x": MalformedXML,
		"<CreateBucketConfiguration><X/></CreateBucketConfiguration>":                                                                       MalformedXML,
		"<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>":                                                        MalformedXML,
		"<CreateBucketConfiguration><Tags>" + strings.Repeat("<Tag><Key>k</Key><Value/></Tag>", 51) + "</Tags></CreateBucketConfiguration>": MalformedXML,
		strings.Repeat(" ", MaxCreateBucketBytes+1):                                                                                         MaxMessageLengthExceeded,
	} {
		if _, err := DecodeCreateBucket(strings.NewReader(text)); !errors.Is(err, code) {
			t.Errorf("%.60q: %v, want %s", text, err, code)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("<Delete><Quiet>true</Quiet><Object><Key>a</Key><ETag>\"e\"</ETag><Size>1</Size></Object></Delete>")
	f.Add("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>")
	f.Add("<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint><Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags></CreateBucketConfiguration>")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := DecodeDelete(strings.NewReader(text))
		mustBeWire(t, err)
		if err == nil && (len(d.Objects) == 0 || len(d.Objects) > MaxDeleteKeys) {
			t.Fatalf("%d keys", len(d.Objects))
		}
		for _, k := range d.Objects {
			if k.Key == "" {
				t.Fatal("an empty key")
			}
		}
		parts, err := DecodeComplete(strings.NewReader(text))
		mustBeWire(t, err)
		last := 0
		for _, p := range parts {
			if p.Number <= last || p.Number > MaxParts {
				t.Fatalf("part %d after %d", p.Number, last)
			}
			last = p.Number
		}
		_, err = DecodeCreateBucket(strings.NewReader(text))
		mustBeWire(t, err)
	})
}

func mustBeWire(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
}

func BenchmarkDecode(b *testing.B) {
	var doc strings.Builder
	doc.WriteString("<Delete>")
	for i := range MaxDeleteKeys {
		fmt.Fprintf(&doc, "<Object><Key>photos/2026/08/%08d.jpg</Key></Object>", i)
	}
	doc.WriteString("</Delete>")
	for b.Loop() {
		if _, err := DecodeDelete(strings.NewReader(doc.String())); err != nil {
			b.Fatal(err)
		}
	}
}
