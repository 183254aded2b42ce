package grammar

import "strings"

// shape is what the value of a keyword must be.
type shape uint8

const (
	ofAny shape = iota
	ofSchema
	ofSchemas     // a list of at least one
	ofSchemaTable // by name
	ofCount       // a whole number, not negative
	ofNumber
	ofText
	ofTexts
	ofBool
	ofList
	ofTypes
)

var shapeNames = map[shape]string{
	ofSchema: "a schema", ofSchemas: "a list of schemas that is not empty", ofSchemaTable: "an object whose values are schemas",
	ofCount: "a whole number that is not negative", ofNumber: "a number", ofText: "a string", ofTexts: "a list of strings",
	ofBool: "true or false", ofList: "a list that is not empty", ofTypes: "the name of a type or a list of such",
}

// assertions are the keywords that are enforced.
var assertions = map[string]shape{
	"type": ofTypes, "nullable": ofBool, "enum": ofList, "const": ofAny,
	"properties": ofSchemaTable, "required": ofTexts, "additionalProperties": ofSchema, "patternProperties": ofSchemaTable,
	"minProperties": ofCount, "maxProperties": ofCount,
	"items": ofSchema, "prefixItems": ofSchemas, "minItems": ofCount, "maxItems": ofCount, "uniqueItems": ofBool,
	"minLength": ofCount, "maxLength": ofCount, "pattern": ofText, "format": ofText,
	"minimum": ofNumber, "maximum": ofNumber, "exclusiveMinimum": ofNumber, "exclusiveMaximum": ofNumber, "multipleOf": ofNumber,
	"allOf": ofSchemas, "anyOf": ofSchemas, "oneOf": ofSchemas, "$ref": ofText,
}

// hints are the types that a keyword speaks of. A schema without "type" that has some of them means these types only.
var hints = map[string]typeSet{
	"properties": typeObject, "required": typeObject, "additionalProperties": typeObject, "patternProperties": typeObject,
	"minProperties": typeObject, "maxProperties": typeObject,
	"items": typeArray, "prefixItems": typeArray, "minItems": typeArray, "maxItems": typeArray, "uniqueItems": typeArray,
	"minLength": typeString, "maxLength": typeString, "pattern": typeString,
	"minimum": numeric, "maximum": numeric, "exclusiveMinimum": numeric, "exclusiveMaximum": numeric, "multipleOf": numeric,
}

// annotations say nothing about which values are valid.
var annotations = map[string]bool{
	"title": true, "description": true, "default": true, "examples": true, "example": true, "deprecated": true, "readOnly": true,
	"writeOnly": true, "$comment": true, "$schema": true, "$anchor": true, "$defs": true, "definitions": true, "$vocabulary": true,
	"contentEncoding": true, "contentMediaType": true, "contentSchema": true, "discriminator": true, "externalDocs": true, "xml": true,
}

// refused are keywords that cannot be guaranteed, with what to do instead.
var refused = map[string]string{
	"not": "say what is allowed", "if": "use anyOf", "then": "use anyOf", "else": "use anyOf", "dependentRequired": "use anyOf",
	"dependentSchemas": "use anyOf", "dependencies": "use anyOf", "propertyNames": "use patternProperties", "contains": "use prefixItems",
	"minContains": "use prefixItems", "maxContains": "use prefixItems", "unevaluatedProperties": "use additionalProperties",
	"unevaluatedItems": "use items", "additionalItems": "use items with prefixItems", "$dynamicRef": "use $ref", "$recursiveRef": "use $ref",
	"$dynamicAnchor": "use $defs and $ref", "$recursiveAnchor": "use $defs and $ref",
}

// check refuses a schema with a keyword that is wrong or that cannot be guaranteed. Nothing is ignored silently.
func check(schema *value) error {
	if schema.is == typeBoolean {
		return nil
	}
	if schema.is != typeObject {
		return fail(Invalid, schema.pointer(), "a schema is an object, true or false")
	}
	for _, m := range schema.members {
		shape, known := assertions[m.name]
		switch instead := refused[m.name]; {
		case known && !fits(m.value, shape):
			return fail(Invalid, m.value.pointer(), "%s must be %s", m.name, shapeNames[shape])
		case known || annotations[m.name] || strings.HasPrefix(m.name, "x-") || m.name == "$id" && schema.parent == nil:
		case m.name == "$id":
			return fail(Unsupported, m.value.pointer(), "$id below the root is not supported; use $defs and $ref with a pointer")
		case instead != "":
			return fail(Unsupported, m.value.pointer(), "%s is not supported; %s", m.name, instead)
		default:
			return fail(Unsupported, m.value.pointer(), "the keyword %.100q is not known; remove it", m.name)
		}
	}
	return nil
}

func fits(v *value, s shape) bool {
	switch s {
	case ofSchema:
		return isSchema(v)
	case ofSchemas:
		return v.is == typeArray && len(v.items) > 0 && all(v.items, isSchema)
	case ofSchemaTable:
		return v.is == typeObject && allMembers(v, isSchema)
	case ofCount:
		return v.is == typeInteger && !v.number.negative
	case ofNumber:
		return v.is&numeric != 0
	case ofText:
		return v.is == typeString
	case ofTexts:
		return v.is == typeArray && all(v.items, isText)
	case ofBool:
		return v.is == typeBoolean
	case ofList:
		return v.is == typeArray && len(v.items) > 0
	case ofTypes:
		return isTypeName(v) || v.is == typeArray && len(v.items) > 0 && all(v.items, isTypeName)
	}
	return true
}

func isSchema(v *value) bool   { return v.is == typeObject || v.is == typeBoolean }
func isText(v *value) bool     { return v.is == typeString }
func isTypeName(v *value) bool { return v.is == typeString && typeNames[v.text] != noType }

func all(list []*value, is func(*value) bool) bool {
	for _, v := range list {
		if !is(v) {
			return false
		}
	}
	return true
}

func allMembers(v *value, is func(*value) bool) bool {
	for _, m := range v.members {
		if !is(m.value) {
			return false
		}
	}
	return true
}
