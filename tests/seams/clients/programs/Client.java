import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.Scanner;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;

class Client {
    public static void main(String[] arguments) {
        var manager = new CookieManager();
        var client = HttpClient.newBuilder().cookieHandler(manager).build();
        System.out.println("Java " + Runtime.version().feature() + " (" + System.getProperty("java.version")
            + "), CookieManager");
        var input = new Scanner(System.in);
        while (input.hasNext()) {
            String method = input.next();
            var url = URI.create(input.next());
            int count = input.nextInt();
            var request = HttpRequest.newBuilder(url).method(method, BodyPublishers.noBody()).build();
            var requests = new ArrayList<CompletableFuture<HttpResponse<String>>>();
            for (int number = 0; number < count; number++) {
                requests.add(client.sendAsync(request, BodyHandlers.ofString()));
            }
            String answers = requests.stream()
                .map(CompletableFuture::join)
                .map(found -> "{\"status\": " + found.statusCode() + ", \"body\": " + quoted(found.body()) + "}")
                .collect(Collectors.joining(", "));
            String cookies = manager.getCookieStore().get(url).stream()
                .map(cookie -> quoted(cookie.getName()) + ": " + quoted(cookie.getValue()))
                .collect(Collectors.joining(", "));
            System.out.println("{\"answers\": [" + answers + "], \"cookies\": {" + cookies + "}}");
        }
    }

    private static String quoted(String text) {
        var json = new StringBuilder("\"");
        for (char one : text.toCharArray()) {
            boolean plain = one >= ' ' && one < 127 && one != '"' && one != '\\';
            json.append(plain ? String.valueOf(one) : String.format("\\u%04x", (int) one));
        }
        return json.append('"').toString();
    }
}
