// Counts the words of what it is given on standard input.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
)

func main() {
	words := 0
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	in.Split(bufio.ScanWords)
	for in.Scan() {
		words++
	}
	if err := in.Err(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(words)
}
