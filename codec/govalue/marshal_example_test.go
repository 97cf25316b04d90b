package govalue_test

import (
	"fmt"

	"cyberdb-fast/codec/govalue"
)

func Example() {
	type User struct {
		Name string `cyberdb:"name"`
		Age  int    `cyberdb:"age,omitempty"`
	}
	b, err := govalue.Marshal([]User{{"Ada", 36}, {"Bob", 0}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%x\n", b)

	users, err := govalue.UnmarshalOf[[]User](b)
	fmt.Println(users, err)

	natural, err := govalue.UnmarshalOf[any](b)
	fmt.Println(natural, err)

	_, err = govalue.UnmarshalOf[[]map[string]int](b)
	fmt.Println(err)
	// Output:
	// 9282a46e616d65a3416461a36167652481a46e616d65a3426f62
	// [{Ada 36} {Bob 0}] <nil>
	// [[{name Ada} {age 36}] [{name Bob}]] <nil>
	// decode [0]["name"]: wrong type: str into int
}
