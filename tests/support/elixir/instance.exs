# An instance that reads commands from standard input and prints its scores whenever they change.

[socket_dir, database, instance_id, state_file, poll_ms] = System.argv()

show = fn scores ->
  shown = for {{model, complexity}, score} <- Enum.sort(scores), do: "#{model}/#{complexity}=#{score}"
  IO.puts("scores #{Enum.join(shown, " ")}")
end

{:ok, _} =
  Supervisor.start_link(
    [
      {CentralCloud,
       connection: [socket_dir: socket_dir, database: database, username: "postgres"],
       instance_id: instance_id,
       state_file: state_file,
       on_scores: show,
       poll_ms: String.to_integer(poll_ms),
       remember_ms: 1_000,
       reconcile_ms: 0}
    ],
    strategy: :one_for_one
  )

for line <- IO.stream(:stdio, :line) do
  [model, outcome | options] = String.split(line)
  decision = %{complexity: "complex", model: String.replace(model, "NUL", <<0>>), provider: "p", score: 2}
  decision = CentralCloud.routed(decision)
  CentralCloud.resolved(decision, outcome, Enum.map(options, &{:response_time_ms, String.to_integer(&1)}))
end

Supervisor.stop(CentralCloud)
IO.puts("stopped")
