// Package auth says who may ask for what, and how much of it: API keys with scopes, tenants and limits, the file that they are kept
// in, and the ledger of what each key uses. It knows nothing of HTTP, and time is an argument.
package auth
