// Command astro serves a Llama model over the OpenAI API and trains it in the same process.
//
// Each command lives in the file of its name and only reads flags and wires packages together; the work is done below.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	if err := newRootCommand().ExecuteContext(untilSignal()); err != nil {
		fmt.Fprintln(os.Stderr, "astro:", err)
		os.Exit(1)
	}
}

// untilSignal is done at the first signal, which asks commands to end in order; from then on a second one ends the process: its handler
// is gone before any command hears of the first, so what a command says then is true.
func untilSignal() context.Context {
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, end := context.WithCancelCause(context.Background())
	context.AfterFunc(signaled, func() {
		stop()
		end(context.Cause(signaled))
	})
	return ctx
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "astro",
		Short:         "Serve a Llama model over the OpenAI API, and train it, in one process",
		Version:       version(),
		SilenceUsage:  true, // an error is one line that says what to do, not a page of flags
		SilenceErrors: true, // main prints it
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newBenchCommand(),
		newChatCommand(),
		newDoctorCommand(),
		newExportCommand(),
		newGradeCommand(),
		newGraphCommand(),
		newImportCommand(),
		newKeysCommand(),
		newLinearizeCommand(),
		newProbeCommand(),
		newRecipeCommand(),
		newSearchCommand(),
		newServeCommand(),
		newTrainCommand(),
		newVersionCommand(),
	)
	return root
}
