package openai

// Model is one entry of GET /v1/models and the body of GET /v1/models/{id}.
type Model struct {
	ID            string `json:"id"`
	Object        string `json:"object"` // "model"
	Created       int64  `json:"created"`
	OwnedBy       string `json:"owned_by"`
	MaxModelLen   int    `json:"max_model_len"`  // context length in tokens, under vLLM's name, which clients read
	PolicyVersion int64  `json:"policy_version"` // version of the weights that new requests run on
}

// ModelList is the body of GET /v1/models.
type ModelList struct {
	Object string  `json:"object"` // "list"
	Data   []Model `json:"data"`
}
