package trainer

// Order is the order in which n things are gone through in an epoch: a permutation of 0 to n-1 that depends on its arguments alone,
// the same on every machine.
func Order(seed, epoch uint64, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	key := Mix(Mix(seed) ^ epoch*0xD1342543DE82EF95)
	for i := n - 1; i > 0; i-- {
		j := int(Mix(key+uint64(i)*0x9E3779B97F4A7C15) % uint64(i+1)) // the bias is below n/2^64
		order[i], order[j] = order[j], order[i]
	}
	return order
}

// Mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014): it makes independent seeds of numbers that are counted up.
func Mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
