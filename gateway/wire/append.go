package wire

import (
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	xmlHeader = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

	// Namespace is the XML namespace of S3's documents.
	Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
)

func appendOpen(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

func appendClose(dst []byte, name string) []byte {
	dst = append(dst, '<', '/')
	dst = append(dst, name...)
	return append(dst, '>')
}

// appendRoot opens a document's root element in S3's namespace.
func appendRoot(dst []byte, name string) []byte {
	dst = append(dst, xmlHeader...)
	dst = append(dst, '<')
	dst = append(dst, name...)
	dst = append(dst, ` xmlns="`...)
	dst = append(dst, Namespace...)
	return append(dst, '"', '>')
}

// appendElement appends <name>text</name>, escaped.
func appendElement(dst []byte, name, text string) []byte {
	dst = appendOpen(dst, name)
	dst = AppendText(dst, text)
	return appendClose(dst, name)
}

// appendOptional is appendElement for a text that may be absent.
func appendOptional(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return appendElement(dst, name, text)
}

func appendInt(dst []byte, name string, n int64) []byte {
	dst = appendOpen(dst, name)
	dst = strconv.AppendInt(dst, n, 10)
	return appendClose(dst, name)
}

func appendBool(dst []byte, name string, b bool) []byte {
	dst = appendOpen(dst, name)
	dst = strconv.AppendBool(dst, b)
	return appendClose(dst, name)
}

func appendTimeElement(dst []byte, name string, t time.Time) []byte {
	dst = appendOpen(dst, name)
	dst = AppendTime(dst, t)
	return appendClose(dst, name)
}

// appendETag appends the ETag element; etag is without quotes, the wire has
// them.
func appendETag(dst []byte, etag string) []byte {
	dst = append(dst, "<ETag>&quot;"...)
	dst = AppendText(dst, etag)
	return append(dst, "&quot;</ETag>"...)
}

// AppendTime appends t in S3's XML form, 2006-01-02T15:04:05.000Z, in UTC.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	hour, minute, second := t.Clock()
	ms := t.Nanosecond() / 1e6
	dst = append(dst,
		byte('0'+year/1000), byte('0'+year/100%10), byte('0'+year/10%10), byte('0'+year%10), '-')
	dst = append(appendTwo(dst, int(month)), '-')
	dst = append(appendTwo(dst, day), 'T')
	dst = append(appendTwo(dst, hour), ':')
	dst = append(appendTwo(dst, minute), ':')
	dst = append(appendTwo(dst, second), '.')
	return append(dst, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

func appendTwo(dst []byte, n int) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// asciiEscaped has a bit for each ASCII character that AppendText escapes:
// control characters, and " & ' < >. It is never written.
var asciiEscaped = [2]uint64{1<<0x20 - 1 | 1<<'"' | 1<<'&' | 1<<'\'' | 1<<'<' | 1<<'>', 1 << (0x7f - 64)}

// AppendText appends s as XML character data. Characters that XML 1.0 cannot
// carry (most control characters, U+FFFE, U+FFFF) are written as numeric
// references, as AWS does: strict parsers refuse them, which is what
// encoding-type=url is for. Line ends and tabs are references too, so that no
// parser normalises them. Bytes that are not UTF-8 become U+FFFD.
func AppendText(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if (asciiEscaped[c>>6]>>(c&63))&1 == 0 {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendReference(dst, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == 0xFFFE || r == 0xFFFF {
			dst = append(dst, s[start:i]...)
			if r == utf8.RuneError {
				dst = append(dst, "\uFFFD"...)
			} else {
				dst = append(dst, "&#x"...)
				dst = strconv.AppendInt(dst, int64(r), 16)
				dst = append(dst, ';')
			}
			start = i + size
		}
		i += size
	}
	return append(dst, s[start:]...)
}

func appendReference(dst []byte, c byte) []byte {
	switch c {
	case '&':
		return append(dst, "&amp;"...)
	case '<':
		return append(dst, "&lt;"...)
	case '>':
		return append(dst, "&gt;"...)
	case '"':
		return append(dst, "&quot;"...)
	case '\'':
		return append(dst, "&apos;"...)
	}
	dst = append(dst, "&#x"...)
	dst = strconv.AppendUint(dst, uint64(c), 16)
	return append(dst, ';')
}

// AppendURLEncoded appends s in the form of encoding-type=url: letters,
// digits, '-', '_', '.', '~', '*' and '/' stay, a space is '+', every other
// byte is %XX. The result needs no XML escaping.
func AppendURLEncoded(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '*', c == '/':
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '+')
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
