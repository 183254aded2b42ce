package model

// RandomSpec is for tests of what is compiled.
var RandomSpec = randomSpec
