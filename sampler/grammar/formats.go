package grammar

// formats are the values of "format" that can be guaranteed, each by an expression that the whole string matches. They take
// less than the standards allow (no leap seconds, no 29th of February, IPv6 in few of its spellings) and nothing else.
var formats = map[string]string{
	"date":      date,
	"time":      clock,
	"date-time": date + `T` + clock,
	"duration":  `P([0-9]{1,4}D|[0-9]{1,3}W|([0-9]{1,3}D)?T[0-9]{1,4}[HMS])`,
	"uuid":      `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"email":     `[A-Za-z0-9_+-]{1,16}(\.[A-Za-z0-9_+-]{1,16}){0,2}@` + label + `(\.` + label + `){0,2}\.[a-z]{2,8}`,
	"hostname":  label + `(\.` + label + `){0,3}`,
	"ipv4":      octet + `(\.` + octet + `){3}`,
	"ipv6":      `(` + group + `(:` + group + `){7}|` + group + `(:` + group + `){0,2}::(` + group + `(:` + group + `){0,2})?|::(` + group + `(:` + group + `){0,2})?)`,
	"uri":       `https?://` + label + `(\.` + label + `){0,3}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]{0,24}){0,6}(\?[A-Za-z0-9._~=&-]{0,48})?(#[A-Za-z0-9._~-]{0,24})?`,
}

const (
	date  = `[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))`
	clock = `([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`
	label = `[A-Za-z0-9]([A-Za-z0-9-]{0,14}[A-Za-z0-9])?`
	octet = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	group = `[0-9a-f]{1,4}`
)
