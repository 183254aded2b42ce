package gguf

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Products are converted to float32 one by one below, so that no machine fuses them with a sum: the values are those of the reference
// implementation to the last bit.

func decodeF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i : 4*i+4]))
	}
}

func decodeF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = half(src[2*i : 2*i+2])
	}
}

func decodeBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:2*i+2])) << 16)
	}
}

// eachBlock makes the decoder of one block that of many.
func eachBlock(values, bytes int, decode func(dst []float32, block []byte)) func([]float32, []byte) {
	return func(dst []float32, blocks []byte) {
		for ; len(dst) > 0; dst, blocks = dst[values:], blocks[bytes:] {
			decode(dst[:values], blocks[:bytes])
		}
	}
}

// decodeQ40: scale, 32 numbers of 4 bits, of which 8 is zero; the low halves of the bytes come first.
func decodeQ40(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:18] {
		dst[i] = d * float32(int(q&15)-8)
		dst[i+16] = d * float32(int(q>>4)-8)
	}
}

// decodeQ41: scale, least value, 32 numbers of 4 bits.
func decodeQ41(dst []float32, b []byte) {
	d, least := half(b), half(b[2:])
	for i, q := range b[4:20] {
		dst[i] = float32(d*float32(q&15)) + least
		dst[i+16] = float32(d*float32(q>>4)) + least
	}
}

// decodeQ50: scale, the fifth bits, the four others; 16 is zero.
func decodeQ50(dst []float32, b []byte) {
	d, high := half(b), binary.LittleEndian.Uint32(b[2:])
	for i, q := range b[6:22] {
		dst[i] = d * float32(int(q&15|fifth(high, i))-16)
		dst[i+16] = d * float32(int(q>>4|fifth(high, i+16))-16)
	}
}

// decodeQ51: scale, least value, the fifth bits, the four others.
func decodeQ51(dst []float32, b []byte) {
	d, least, high := half(b), half(b[2:]), binary.LittleEndian.Uint32(b[4:])
	for i, q := range b[8:24] {
		dst[i] = float32(d*float32(q&15|fifth(high, i))) + least
		dst[i+16] = float32(d*float32(q>>4|fifth(high, i+16))) + least
	}
}

// fifth is bit i of high in the place of a number's fifth.
func fifth(high uint32, i int) byte { return byte(high>>i&1) << 4 }

// decodeQ80: scale, 32 signed bytes.
func decodeQ80(dst []float32, b []byte) {
	d := half(b)
	for i, q := range b[2:34] {
		dst[i] = d * float32(int8(q))
	}
}

// decodeQ4K: scale of scales, scale of least values, 8 of both in 6 bits each, 256 numbers of 4 bits. A run of 32 bytes holds two
// groups: one in the low halves, one in the high.
func decodeQ4K(dst []float32, b []byte) {
	scales, leasts := groups(b)
	for g := range 8 {
		for i, q := range b[16+g/2*32:][:32] {
			dst[g*32+i] = float32(scales[g]*float32(q>>(g%2*4)&15)) - leasts[g]
		}
	}
}

// decodeQ5K is Q4_K with the fifth bits of all numbers before the four others: bit g of a byte is group g's.
func decodeQ5K(dst []float32, b []byte) {
	scales, leasts := groups(b)
	high := b[16:48]
	for g := range 8 {
		for i, q := range b[48+g/2*32:][:32] {
			dst[g*32+i] = float32(scales[g]*float32(q>>(g%2*4)&15|high[i]>>g&1<<4)) - leasts[g]
		}
	}
}

// groups reads the scales and least values of a block's 8 groups. The first four have their 6 bits in bytes 0..3 and 4..7 of the 12;
// of the others the low four bits are in bytes 8..11 and the high two on top of the first eight.
func groups(b []byte) (scales, leasts [8]float32) {
	d, least, s := half(b), half(b[2:]), b[4:16]
	for g := range 4 {
		scales[g], leasts[g] = d*float32(s[g]&63), least*float32(s[g+4]&63)
		scales[g+4] = d * float32(s[g+8]&15|s[g]>>6<<4)
		leasts[g+4] = least * float32(s[g+8]>>4|s[g+4]>>6<<4)
	}
	return scales, leasts
}

// decodeQ6K: the low four bits of 256 numbers, the high two, 16 signed scales of 16 numbers each, the scale of scales; 32 is zero. Each
// half of 128 numbers has 64 bytes of low and 32 bytes of high bits: byte i of the high ones is for the numbers i, i+32, i+64, i+96.
func decodeQ6K(dst []float32, b []byte) {
	d := half(b[208:])
	for n := range maxBlockValues {
		part, group, i := n/128, n/32%4, n%32
		low := b[part*64+group%2*32+i] >> (group / 2 * 4) & 15
		high := b[128+part*32+i] >> (group * 2) & 3
		scale := d * float32(int8(b[192+n/16]))
		dst[n] = scale * float32(int(low|high<<4)-32)
	}
}

// half widens an IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits.
func half(b []byte) float32 {
	h := binary.LittleEndian.Uint16(b)
	sign, exponent, fraction := uint32(h&0x8000)<<16, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0: // zero and subnormal: fraction * 2^-24, which a float32 holds exactly
		return math.Float32frombits(math.Float32bits(float32(fraction)*(1.0/(1<<24))) | sign)
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// decimal is the float64 of the shortest decimal number that is f.
func decimal(f float32) float64 {
	d, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f) // NaN and infinities, which whoever uses them refuses
	}
	return d
}
