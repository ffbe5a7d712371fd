# A stand-in for Postgrex if the real one is not available: the functions that examples/elixir uses, with the same types of
# parameters, results and errors, over PostgreSQL's protocol on a unix socket. One connection, opened again when it is lost.

defmodule DBConnection.ConnectionError do
  defexception [:message]
end

defmodule Postgrex.Error do
  defexception [:message, :postgres]

  @impl true
  def message(%{postgres: fields}), do: "#{fields.severity} #{fields.pg_code} #{fields.message}"
end

defmodule Postgrex.Result do
  defstruct [:columns, :rows, :num_rows]
end

defmodule Postgrex.Wire do
  def connect(options) do
    path = Path.join(options[:socket_dir], ".s.PGSQL.#{options[:port] || 5432}")

    with {:ok, socket} <- :gen_tcp.connect({:local, path}, 0, [:binary, active: false]) do
      settings = ["user", options[:username], "database", options[:database], "TimeZone", "UTC"]
      body = [<<196_608::32>>, Enum.map(settings, &[&1, 0]), 0]
      :ok = :gen_tcp.send(socket, [<<IO.iodata_length(body) + 4::32>>, body])
      {:ok, _} = until_ready(socket)
      {:ok, socket}
    end
  end

  def send_message(socket, type, body) do
    :gen_tcp.send(socket, [type, <<IO.iodata_length(body) + 4::32>>, body])
  end

  def until_ready(socket, seen \\ []) do
    with {:ok, <<type, length::32>>} <- :gen_tcp.recv(socket, 5, 15_000),
         {:ok, body} <- if(length > 4, do: :gen_tcp.recv(socket, length - 4, 15_000), else: {:ok, ""}) do
      if type == ?Z, do: {:ok, Enum.reverse(seen)}, else: until_ready(socket, [{type, body} | seen])
    end
  end
end

defmodule Postgrex do
  use GenServer
  alias Postgrex.Wire

  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: options[:name])

  def query(pool, statement, parameters) when is_binary(statement) and is_list(parameters) do
    case GenServer.call(pool, {:query, statement, parameters}, 20_000) do
      {:raise, error} -> raise error
      result -> result
    end
  end

  @impl true
  def init(options), do: {:ok, %{options: options, socket: nil}}

  @impl true
  def handle_call({:query, statement, parameters}, _, state) do
    with {:ok, socket} <- if(state.socket, do: {:ok, state.socket}, else: Wire.connect(state.options)),
         {:ok, result} <- run(socket, statement, parameters) do
      {:reply, result, %{state | socket: socket}}
    else
      {:error, reason} ->
        if state.socket, do: :gen_tcp.close(state.socket)
        {:reply, {:error, %DBConnection.ConnectionError{message: inspect(reason)}}, %{state | socket: nil}}
    end
  end

  defp run(socket, statement, parameters) do
    Wire.send_message(socket, ?P, [0, statement, 0, <<0::16>>])
    Wire.send_message(socket, ?D, [?S, 0])
    Wire.send_message(socket, ?S, [])

    with {:ok, described} <- Wire.until_ready(socket) do
      case error(described) do
        nil -> execute(socket, types(described), columns(described), parameters)
        error -> {:ok, {:error, error}}
      end
    end
  end

  defp execute(socket, types, columns, parameters) do
    values = for {type, value} <- Enum.zip(types, parameters), do: value == nil || encode(type, value)
    true = length(types) == length(parameters)
    encoded = for value <- values, do: if(value == true, do: <<-1::32>>, else: [<<byte_size(value)::32>>, value])
    Wire.send_message(socket, ?B, [0, 0, <<0::16, length(values)::16>>, encoded, <<0::16>>])
    Wire.send_message(socket, ?E, [0, <<0::32>>])
    Wire.send_message(socket, ?S, [])

    with {:ok, answered} <- Wire.until_ready(socket) do
      rows = for {?D, <<_::16, fields::binary>>} <- answered, do: decode_row(fields, columns)
      error = error(answered)
      {:ok, if(error, do: {:error, error}, else: {:ok, %Postgrex.Result{rows: rows, num_rows: length(rows)}})}
    end
  rescue
    error in ArgumentError -> {:ok, {:raise, error}}
  end

  defp error(messages) do
    with {_, body} <- List.keyfind(messages, ?E, 0) do
      fields = for <<key, value::binary>> <- String.split(body, <<0>>), into: %{}, do: {key, value}
      %Postgrex.Error{postgres: %{pg_code: fields[?C], severity: fields[?S], message: fields[?M]}}
    end
  end

  defp types(messages) do
    {_, <<_::16, types::binary>>} = List.keyfind(messages, ?t, 0)
    for <<type::32 <- types>>, do: type
  end

  defp columns(messages) do
    case List.keyfind(messages, ?T, 0) do
      {_, <<count::16, fields::binary>>} -> columns(count, fields)
      nil -> []
    end
  end

  defp columns(0, ""), do: []

  defp columns(count, fields) do
    [_, <<_::48, type::32, _::64, rest::binary>>] = :binary.split(fields, <<0>>)
    [type | columns(count - 1, rest)]
  end

  defp decode_row("", []), do: []
  defp decode_row(<<-1::signed-32, rest::binary>>, [_ | types]), do: [nil | decode_row(rest, types)]

  defp decode_row(<<size::32, value::binary-size(size), rest::binary>>, [type | types]),
    do: [decode(type, value) | decode_row(rest, types)]

  # As strict as Postgrex: values of other types are not converted.
  defp encode(type, value) when type in [25, 1043] and is_binary(value), do: value
  defp encode(20, value) when is_integer(value), do: Integer.to_string(value)
  defp encode(701, value) when is_number(value), do: to_string(value)
  defp encode(1009, values) when is_list(values), do: array(25, values)
  defp encode(1022, values) when is_list(values), do: array(701, values)
  defp encode(type, value), do: raise(ArgumentError, "type #{type}: found #{inspect(value)}")

  defp array(type, values) do
    quoted = for value <- values, do: if(value == nil, do: "NULL", else: [?", escape(encode(type, value)), ?"])
    IO.iodata_to_binary([?{, Enum.intersperse(quoted, ?,), ?}])
  end

  defp escape(text), do: String.replace(text, ["\\", "\""], &("\\" <> &1))

  defp decode(type, value) when type in [25, 1043], do: value
  defp decode(20, value), do: String.to_integer(value)
  defp decode(701, value), do: value |> Float.parse() |> elem(0)
  defp decode(2278, _), do: :void

  defp decode(1184, value) do
    {:ok, at, 0} = DateTime.from_iso8601(String.replace_suffix(value, "+00", "Z"))
    at
  end
end

defmodule Postgrex.Notifications do
  use GenServer
  alias Postgrex.Wire

  def start_link(options), do: GenServer.start_link(__MODULE__, options, name: options[:name])
  def listen(server, channel), do: GenServer.call(server, {:listen, channel})

  @impl true
  def init(options), do: {:ok, connect(%{options: options, socket: nil, buffer: "", listeners: []})}

  @impl true
  def handle_call({:listen, channel}, {pid, _}, state) do
    ref = Process.monitor(pid)
    state = %{state | listeners: [{pid, ref, channel} | state.listeners]}
    if state.socket, do: send_listen(state.socket, channel)
    {:reply, {if(state.socket, do: :ok, else: :eventually), ref}, state}
  end

  @impl true
  def handle_info({:tcp, _, data}, state), do: {:noreply, notify(%{state | buffer: state.buffer <> data})}
  def handle_info(:connect, state), do: {:noreply, connect(state)}
  def handle_info({:tcp_closed, _}, state), do: {:noreply, connect(%{state | socket: nil, buffer: ""})}
  def handle_info(_, state), do: {:noreply, state}

  defp connect(state) do
    case Wire.connect(state.options) do
      {:ok, socket} ->
        for {_, _, channel} <- state.listeners, do: send_listen(socket, channel)
        :inet.setopts(socket, active: true)
        %{state | socket: socket}

      {:error, _} ->
        Process.send_after(self(), :connect, 500)
        state
    end
  end

  defp send_listen(socket, channel), do: Wire.send_message(socket, ?Q, ["LISTEN \"", channel, "\"", 0])

  defp notify(%{buffer: <<type, length::32, rest::binary>>} = state) when byte_size(rest) >= length - 4 do
    size = length - 4
    <<body::binary-size(size), rest::binary>> = rest

    if type == ?A do
      <<_::32, text::binary>> = body
      [channel, payload, ""] = String.split(text, <<0>>)
      for {pid, ref, ^channel} <- state.listeners, do: send(pid, {:notification, self(), ref, channel, payload})
    end

    notify(%{state | buffer: rest})
  end

  defp notify(state), do: state
end
