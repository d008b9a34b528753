// Package crccombine computes the CRC of two byte strings, one after the other, from their CRCs and the second one's
// length. So the checksum of a completed upload follows from those of its parts without reading a byte.
//
// A CRC is the remainder of a polynomial over GF(2). Appending n zero bytes multiplies it by x^(8n), and a second string's
// CRC is then added. The conditioning of S3's three CRCs (all ones before and after) cancels out. It is pure.
package crccombine

// field is GF(2)[x] modulo a polynomial, in the reflected form that all three CRCs use: the bit of the highest weight is
// x^0.
type field struct {
	polynomial uint64
	one        uint64 // x^0
}

// CRC32 returns the CRC32 (IEEE) of A followed by B from those of A and B and the length of B in bytes.
func CRC32(a, b, length uint64) uint64 {
	return field{polynomial: 0xedb88320, one: 1 << 31}.combine(a, b, length)
}

// CRC32C returns the CRC32C (Castagnoli) of A followed by B from those of A and B and the length of B in bytes.
func CRC32C(a, b, length uint64) uint64 {
	return field{polynomial: 0x82f63b78, one: 1 << 31}.combine(a, b, length)
}

// CRC64NVME returns the CRC64NVME of A followed by B from those of A and B and the length of B in bytes.
func CRC64NVME(a, b, length uint64) uint64 {
	return field{polynomial: 0x9a6c9329ac4bc9b5, one: 1 << 63}.combine(a, b, length)
}

func (f field) combine(a, b, length uint64) uint64 {
	return f.multiply(f.zeros(length), a) ^ b
}

// zeros returns x^(8·bytes).
func (f field) zeros(bytes uint64) uint64 {
	power := f.one >> 8 // x^8
	product := f.one
	for ; bytes > 0; bytes >>= 1 {
		if bytes&1 != 0 {
			product = f.multiply(product, power)
		}
		power = f.multiply(power, power)
	}
	return product
}

// multiply returns a·b modulo the polynomial.
func (f field) multiply(a, b uint64) uint64 {
	var product uint64
	for bit := f.one; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
		}
		odd := b & 1
		b >>= 1
		if odd != 0 {
			b ^= f.polynomial
		}
	}
	return product
}
