// Package eval holds the statistics that training and benchmarks share: means with standard errors, pass@k, maj@k,
// correlation, bootstrap, intervals. All of it is pure: the same arguments give the same result, and seeds are arguments.
package eval

import "math"

// Estimate is a mean with its standard error.
type Estimate struct {
	Mean float64 `json:"mean"`
	SE   float64 `json:"se"` // 0 where there are fewer than two independent values: then nothing is known about the spread
	N    int     `json:"n"`  // independent values: problems, not samples
}

// Mean is the mean of independent values; its standard error is the sample deviation over the root of their number.
// Of no values it is zero with N = 0.
func Mean(values []float64) Estimate {
	e := Estimate{N: len(values)}
	if e.N == 0 {
		return e
	}
	for _, v := range values {
		e.Mean += v
	}
	e.Mean /= float64(e.N)
	if e.N == 1 {
		return e
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - e.Mean) * (v - e.Mean)
	}
	e.SE = math.Sqrt(squares / float64(e.N-1) / float64(e.N))
	return e
}

// AvgAtK is the chance that one sample of a random problem is right: the mean over problems of each one's share of correct
// samples. Its standard error is over problems, for samples of one problem are alike. Problems without samples are left out.
func AvgAtK(correct [][]bool) Estimate {
	shares := make([]float64, 0, len(correct))
	for _, samples := range correct {
		if len(samples) > 0 {
			shares = append(shares, float64(count(samples))/float64(len(samples)))
		}
	}
	return Mean(shares)
}

// Clustered is the mean over all values, each of the same weight, with a standard error that allows values of one cluster to
// depend on each other: the root of the summed squares of the clusters' residuals, with the correction C/(C-1) for C
// clusters. With clusters of one size it equals Mean of the clusters' means. N counts clusters; empty ones do not count.
func Clustered(clusters [][]float64) Estimate {
	var e Estimate
	values := 0
	for _, c := range clusters {
		for _, v := range c {
			e.Mean += v
		}
		values += len(c)
		if len(c) > 0 {
			e.N++
		}
	}
	if values == 0 {
		return e
	}
	e.Mean /= float64(values)
	if e.N == 1 {
		return e
	}
	squares := 0.0
	for _, c := range clusters {
		residual := 0.0
		for _, v := range c {
			residual += v - e.Mean
		}
		squares += residual * residual
	}
	e.SE = math.Sqrt(squares*float64(e.N)/float64(e.N-1)) / float64(values)
	return e
}

// count is the number of true values.
func count(values []bool) int {
	n := 0
	for _, v := range values {
		if v {
			n++
		}
	}
	return n
}
