package views

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// Info writes a section of INFO, a line for each field; section is "" for the server's own figures.
func (v *View) Info(ctx context.Context, section string) error {
	text, err := v.section(ctx, section, nil)
	if err != nil {
		return err
	}
	if v.JSON {
		_, err := fmt.Fprintf(v.Out, "%s\n", text)
		return err
	}
	g := v.grid()
	if err := g.fields("", json.NewDecoder(bytes.NewReader(text))); err != nil {
		return fmt.Errorf("the server's section %q cannot be read: %w", section, err)
	}
	return g.flush()
}

// fields writes the fields of the JSON value that comes next, in its order; those of objects inside
// it have its name before theirs.
func (g *grid) fields(name string, from *json.Decoder) error {
	from.UseNumber()
	token, err := from.Token()
	if err != nil {
		return err
	}
	opened, nested := token.(json.Delim)
	if !nested {
		g.row(name, plain(fmt.Sprint(token)))
		return nil
	}
	for i := 0; from.More(); i++ {
		field := fmt.Sprint(i)
		if opened == '{' {
			key, err := from.Token()
			if err != nil {
				return err
			}
			field = plain(fmt.Sprint(key))
		}
		if name != "" {
			field = name + "." + field
		}
		if err := g.fields(field, from); err != nil {
			return err
		}
	}
	_, err = from.Token()
	return err
}
