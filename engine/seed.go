package engine

// SampleSeed is the seed of sample i of a Request: the Request's own for sample 0, so that n = 1 and the first of many draw
// alike, and a mix (splitmix64, Steele et al. 2014) for the others, so that their streams have nothing in common.
func SampleSeed(seed uint64, i int) uint64 {
	if i == 0 {
		return seed
	}
	z := seed + uint64(i)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
