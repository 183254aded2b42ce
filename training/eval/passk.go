package eval

import "fmt"

// PassAtK is the chance that k samples, drawn without replacement from n of which c are correct, hold a correct one:
// 1 - C(n-c, k) / C(n, k), the unbiased estimator of Chen et al. 2021. It is computed as a product, which cannot overflow.
// k must lie in [1, n] and c in [0, n].
func PassAtK(n, c, k int) float64 {
	if c < 0 || c > n || k < 1 || k > n {
		panic(fmt.Sprintf("BUG: got pass@%d of %d correct among %d samples; want 0 <= c <= n and 1 <= k <= n", k, c, n))
	}
	allWrong := 1.0
	for i := range k {
		allWrong *= max(0, float64(n-c-i)) / float64(n-i)
	}
	return 1 - allWrong
}
